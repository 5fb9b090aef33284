"""The work of a sampling job: a child process writes answers, this makes items of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.models import Generator, Kind, Project, Prompt, Response
from annotation.services.content import NewResponse, add_responses, get_generator
from annotation.services.item import create_items
from core.jobs import JobContext
from training.models import ModelVersion
from training.selectors.model import ModelChoice, Source, find_model
from training.services import child
from training.services.base_model import prepare_model
from training.services.tail import JsonLinesTail
from training.services.texts import storable

# As the labelers' protocol prefers them: a comparison says most about a new version.
KINDS = (Kind.PAIRWISE, Kind.LISTWISE, Kind.THUMBS)

TOP_P = 0.95
# Small, so that answers come in while the rest is written.
BATCH_SIZE = 4


@dataclass
class Author:
    """A model, and the answers to the chosen prompts that it has given so far."""

    choice: ModelChoice
    generator: Generator
    answers: dict[int, Response]


class Sampling:
    """One job: who writes, for which prompts, and against whom it is compared."""

    def __init__(self, context: JobContext) -> None:
        self.context = context
        self.args = context.args
        self.project = Project.objects.get(pk=context.args["project"])
        chosen = Prompt.objects.filter(pk__in=self.args["prompts"], withdrawn_at=None)
        found = chosen.in_bulk()
        self.prompts = [found[key] for key in self.args["prompts"] if key in found]
        self.new = self._author(self.args["model"])
        self.old = self._author(self.args["against"]) if self.args["against"] else None
        self.created = 0

    def run(self) -> dict[str, Any]:
        if self.old is not None:
            self._write_missing(self.old)
        self._write_missing(self.new)
        # Once more over all: a crash may have fallen between an answer and its item.
        self._make_items(list(self.new.answers.values()))
        return {"responses": len(self.new.answers), "items": self.created}

    def _author(self, name: str) -> Author:
        choice = find_model(self.project, name)
        generator = generator_of(self.project, choice)
        answers = Response.objects.filter(
            generator=generator, prompt__in=self.prompts, withdrawn_at=None
        ).order_by("-pk")
        return Author(choice, generator, {answer.prompt_id: answer for answer in answers})

    def _write_missing(self, author: Author) -> None:
        missing = [prompt for prompt in self.prompts if prompt.pk not in author.answers]
        if not missing:
            return
        prepare_model(context=self.context, choice=author.choice)
        folder = self._folder(author)
        config = self._write_plan(author, missing, folder)
        tail = JsonLinesTail(folder / "responses.jsonl")
        before = child.oom_kills()

        def watch() -> None:
            while lines := tail.read():
                self._take(author, lines)
            self.context.progress(
                done=len(author.answers),
                total=len(self.prompts),
                message=f"{author.choice.title} is answering the prompts",
            )

        arguments = ["--config", str(config), "--supervised"]
        with child.running("training.alignment.sample", arguments, folder=folder) as process:
            returncode = child.wait_for(process, watch)
        if returncode:
            child.raise_failure(returncode, folder=folder, oom_kills_before=before)

    def _folder(self, author: Author) -> Path:
        role = "new" if author is self.new else "old"
        folder = Path(settings.DATA_DIR) / "samplings" / str(self.context.job.pk) / role
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _write_plan(self, author: Author, prompts: list[Prompt], folder: Path) -> Path:
        lines = [
            json.dumps({"prompt_id": str(prompt.pk), "messages": prompt.messages})
            for prompt in prompts
        ]
        (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n")
        config = {
            "model": str(author.choice.folder),
            "prompts_file": str(folder / "prompts.jsonl"),
            "output_file": str(folder / "responses.jsonl"),
            # Two models of equal seeds would often write equal texts, which nobody can judge.
            "seed": 2 * self.context.job.pk + (author is self.new),
            "max_new_tokens": self.args["max_new_tokens"],
            "temperature": self.args["temperature"],
            "top_p": TOP_P,
            "batch_size": BATCH_SIZE,
        }
        (folder / "sample.json").write_text(json.dumps(config))
        return folder / "sample.json"

    def _take(self, author: Author, lines: list[dict[str, Any]]) -> None:
        prompts = {str(prompt.pk): prompt for prompt in self.prompts}
        answers = [
            NewResponse(
                prompt=prompts[line["prompt_id"]],
                generator=author.generator,
                messages=[
                    {**message, "content": storable(message["content"])}
                    for message in line["messages"]
                ],
                sampling={
                    "temperature": self.args["temperature"],
                    "top_p": TOP_P,
                    "seed": line["seed"],
                    "tokens": line["tokens"],
                    "finish_reason": line["finish_reason"],
                },
            )
            for line in lines
            if line["prompt_id"] in prompts
        ]
        with self.context.fenced():
            written = add_responses(responses=answers)
            author.answers.update({answer.prompt_id: answer for answer in written})
            if author is self.new:
                self._make_items(written)

    def _make_items(self, answers: list[Response]) -> None:
        kinds = self.project.protocol.kinds
        kind = next(kind for kind in KINDS if kind in kinds)
        groups = [group for answer in answers if (group := self._group(kind, answer))]
        with self.context.fenced():
            made = create_items(
                project=self.project,
                kind=kind,
                groups=groups,
                priority=self.args["priority"],
                batch=self.args["batch"],
            )
        self.created += made.created

    def _group(self, kind: Kind, answer: Response) -> list[Response]:
        """The new answer, beside the older model's or else one that is there already."""
        if kind == Kind.THUMBS:
            return [answer]
        if self.old is not None:
            other = self.old.answers.get(answer.prompt_id)
        else:
            others = Response.objects.filter(prompt=answer.prompt_id, withdrawn_at=None)
            other = others.exclude(generator=answer.generator).order_by("uuid").first()
        return [answer, other] if other is not None else []


def sample_responses(*, context: JobContext) -> dict[str, Any]:
    return Sampling(context).run()


def generator_of(project: Project, choice: ModelChoice) -> Generator:
    if choice.source is not Source.VERSION:
        return get_generator(name=choice.name, family=choice.name, kind=Generator.Kind.MODEL)
    version = ModelVersion.objects.select_related("generator").get(
        project=project, number=int(choice.name.removeprefix("version:"))
    )
    return version.generator
