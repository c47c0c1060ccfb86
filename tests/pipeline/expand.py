"""Expands template.yaml as CloudFormation would, with SAM's own translator: logical ids and types as JSON on standard output."""

import json
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class ManagedPolicies:
    """Only the policies that SAM attaches by itself are looked up by name, and no ARN is compared."""

    def load(self):
        names = ["AWSLambdaBasicExecutionRole", "AWSLambdaDynamoDBExecutionRole", "AWSXrayWriteOnlyAccess"]
        return {name: f"arn:aws:iam::aws:policy/{name}" for name in names}


with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file.read())
# As `sam deploy` leaves it: the code is an object of S3.
template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
parameters = {"Domain": "https://id.example", "SenderEmail": "noreply@id.example", "AlarmEmail": "ops@id.example"}
resources = transform(template, parameters, ManagedPolicies())["Resources"]
json.dump({name: resource["Type"] for name, resource in resources.items()}, sys.stdout)
