"""Changes one bit of an object, and says how many uploads were never finished: spoil.py ENDPOINT KEY."""

import json
import sys

import boto3

endpoint, key = sys.argv[1:]
store = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="interop",
    aws_secret_access_key="interop",
)
data = bytearray(store.get_object(Bucket="plant", Key=key)["Body"].read())
data[len(data) // 2] ^= 1
store.put_object(Bucket="plant", Key=key, Body=bytes(data))
uploads = store.list_multipart_uploads(Bucket="plant").get("Uploads", [])
print(json.dumps({"unfinished": len(uploads)}))
