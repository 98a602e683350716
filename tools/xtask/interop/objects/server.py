"""An object store that speaks S3, with one bucket; says where it listens, and ends with its standard input."""

import json
import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
store = boto3.client(
    "s3",
    endpoint_url=f"http://{host}:{port}",
    region_name="us-east-1",
    aws_access_key_id="interop",
    aws_secret_access_key="interop",
)
store.create_bucket(Bucket="plant")
print(json.dumps({"port": port}), flush=True)
sys.stdin.read()
server.stop()
