"""Files become events and items: readers of rows, the mapping of columns, and the jobs that write the logs."""
