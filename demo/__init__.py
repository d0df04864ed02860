"""The demo: `make demo` runs run.py, `make spark-demo` spark.py."""
