"""Every producer and consumer, the topics, and the embedded broker; nothing else imports confluent_kafka."""
