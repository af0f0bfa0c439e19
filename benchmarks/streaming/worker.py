"""One run of one peer in this process: `python -m benchmarks.streaming.worker MODULE BOOTSTRAP TOPIC REDIS EVENTS`.

The last line of its output is the result, as JSON.
"""

import importlib
import json
import sys


def main() -> None:
    """Imports only the one peer, so that nothing of another one counts."""
    module, bootstrap, topic, redis_url, events = sys.argv[1:]
    run = importlib.import_module(f"benchmarks.streaming.peers.{module}").run
    print(json.dumps(run(bootstrap, topic, redis_url, int(events))))


if __name__ == "__main__":
    main()
