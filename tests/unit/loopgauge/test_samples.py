"""The files that `edge sample`, `ingest sample` and `command --sample` print can be used as they are."""

from __future__ import annotations

from edge_agent import config as edge
from ingest import config as ingest
from loopgauge import operator
from yaml_models.parse import parse
from yaml_models.sample import sample


def test_the_sample_of_a_site_file_is_a_valid_one() -> None:
    assert parse(
        sample(edge.EdgeConfig, edge.SAMPLE), edge.EdgeConfig, file="site.yaml"
    ) == edge.EdgeConfig.model_validate(edge.SAMPLE)


def test_the_sample_of_a_workers_file_is_a_valid_one() -> None:
    said = parse(sample(ingest.IngestConfig, ingest.SAMPLE), ingest.IngestConfig, file="ingest.yaml")
    assert said == ingest.IngestConfig.model_validate(ingest.SAMPLE)


def test_the_sample_of_an_operators_file_is_a_valid_one() -> None:
    said = parse(sample(operator.OperatorConfig, operator.SAMPLE), operator.OperatorConfig, file="command.yaml")
    assert said == operator.OperatorConfig.model_validate(operator.SAMPLE)
