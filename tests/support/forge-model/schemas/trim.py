#!/usr/bin/env python3
"""Cuts out of GitHub's own descriptions what the model's answers are checked against.

    npm pack @octokit/openapi@23.0.2 @octokit/webhooks-schemas@7.6.1     and unpack both
    trim.py generated/api.github.com.json schema.json                    writes beside this script

    npm pack @octokit/webhooks-examples@7.6.1                            and unpack it
    trim.py --examples api.github.com/index.json                         writes webhook-examples.json.gz
"""

import gzip
import json
import pathlib
import sys

KEEP = {"type", "required", "properties", "items", "enum", "nullable", "anyOf", "oneOf", "allOf", "$ref", "const"}

REPO = "/repos/{owner}/{repo}"
ANSWERS = {
    "repository": (REPO, "get", "200"),
    "repositories": ("/orgs/{org}/repos", "get", "200"),
    "pulls": (REPO + "/pulls", "get", "200"),
    "pull": (REPO + "/pulls/{pull_number}", "get", "200"),
    "files": (REPO + "/pulls/{pull_number}/files", "get", "200"),
    "branches": (REPO + "/branches", "get", "200"),
    "branch": (REPO + "/branches/{branch}", "get", "200"),
    "ref": (REPO + "/git/ref/{ref}", "get", "200"),
    "refs": (REPO + "/git/matching-refs/{ref}", "get", "200"),
    "comments": (REPO + "/issues/comments", "get", "200"),
    "comment": (REPO + "/issues/{issue_number}/comments", "post", "201"),
    "statuses": (REPO + "/commits/{ref}/statuses", "get", "200"),
    "status": (REPO + "/statuses/{sha}", "post", "201"),
    "combined": (REPO + "/commits/{ref}/status", "get", "200"),
    "check_run": (REPO + "/check-runs", "post", "201"),
    "permission": (REPO + "/collaborators/{username}/permission", "get", "200"),
    "rate_limit": ("/rate_limit", "get", "200"),
    "deliveries": (REPO + "/hooks/{hook_id}/deliveries", "get", "200"),
    "access_token": ("/app/installations/{installation_id}/access_tokens", "post", "201"),
    "moved": (REPO, "get", "301"),
    "missing": (REPO, "get", "404"),
}

EVENTS = [
    "pull_request$" + action
    for action in (
        "opened", "closed", "edited", "synchronize", "reopened", "labeled", "unlabeled",
        "converted_to_draft", "ready_for_review", "enqueued", "dequeued",
    )
] + [
    "push$event", "issue_comment$created", "repository$renamed",
    "merge_group$checks_requested", "merge_group$destroyed",
]


class Trimmed:
    def __init__(self, schemas):
        self.source, self.schemas = schemas, {}

    def strip(self, schema, names=False):
        if isinstance(schema, list):
            return [self.strip(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        out = {}
        for key, value in schema.items():
            if names:
                out[key] = self.strip(value)
            elif key == "$ref":
                out[key] = self.need(value.rsplit("/", 1)[1])
            elif key in ("required", "enum", "const", "type"):
                out[key] = value
            elif key in KEEP:
                out[key] = self.strip(value, key == "properties")
        return out

    def need(self, name):
        if name not in self.schemas:
            self.schemas[name] = None
            self.schemas[name] = self.strip(self.source[name])
        return name

    def write(self, file, answers):
        text = json.dumps({"answers": answers, "schemas": self.schemas}, separators=(",", ":"), sort_keys=True)
        (pathlib.Path(__file__).parent / file).write_text(text + "\n")


def examples(file):
    entries = [{"event": entry["name"], "examples": entry["examples"]} for entry in json.load(open(file))]
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False)
    packed = gzip.compress(text.encode(), 9, mtime=0)
    (pathlib.Path(__file__).parent / "webhook-examples.json.gz").write_bytes(packed)


def main():
    if sys.argv[1] == "--examples":
        return examples(sys.argv[2])
    api = json.load(open(sys.argv[1]))
    trimmed, answers = Trimmed(api["components"]["schemas"]), {}
    for name, (path, method, status) in ANSWERS.items():
        response = api["paths"][path][method]["responses"][status]
        if "$ref" in response:
            response = api["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
        answers[name] = trimmed.strip(response["content"]["application/json"]["schema"])
    trimmed.write("github.json", answers)
    trimmed = Trimmed(json.load(open(sys.argv[2]))["definitions"])
    trimmed.write("webhooks.json", {name: {"$ref": trimmed.need(name)} for name in EVENTS})


main()
