"""Holds HTTP answers against an OpenAPI document.

Arguments: the document, and what never occurs here, such as `POST 503`. Standard input: a line of JSON for each exchange, with `method`, `path` (as the document writes
it), `status`, `content_type` and `body`. Ends with failure, naming what does not fit, when the document is not valid, an
answer is not as it says, or the document promises a status that no answer had, but what never occurs.
"""

import json
import sys

import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate


def resolved(document, item):
    while "$ref" in item:
        target = document
        for part in item["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        item = target
    return item


def problem_of(document, promised, exchange):
    key = (exchange["path"], exchange["method"].lower(), str(exchange["status"]))
    response = promised.get(key)
    if response is None:
        return "the document does not know this status"
    content_type = exchange["content_type"].split(";")[0].strip()
    content = response["content"].get(content_type)
    if content is None:
        return f"content type {content_type!r} instead of one of {list(response['content'])}"
    body = exchange["body"]
    if content_type == "application/json":
        body = json.loads(body)
    schema = {**content["schema"], "components": document["components"]}
    errors = sorted(Draft202012Validator(schema).iter_errors(body), key=str)
    return "; ".join(f"{error.json_path}: {error.message}" for error in errors) or None


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = yaml.safe_load(file)
    validate(document)
    promised = {
        (path, method, status): resolved(document, response)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
        for status, response in operation["responses"].items()
    }
    problems = []
    never = {tuple(each.lower().split()) for each in sys.argv[2:]}
    missing = {(path, method, status) for path, method, status in promised if (method, status) not in never}
    for line in sys.stdin:
        exchange = json.loads(line)
        method, status = exchange["method"].lower(), str(exchange["status"])
        missing.discard((exchange["path"], method, status))
        problem = "was said never to occur" if (method, status) in never else problem_of(document, promised, exchange)
        if problem:
            problems.append(f"{exchange}: {problem}")
    problems += [f"no answer had the status of {key}" for key in sorted(missing)]
    if problems:
        sys.exit("\n".join(problems))


main()
