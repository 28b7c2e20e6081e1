"""AWS clients for programs that bring boto3 themselves. Nothing here imports it before it is needed."""
