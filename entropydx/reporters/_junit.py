"""A gate as JUnit XML, for the test pages of Jenkins, GitLab, Azure Pipelines and others: a test case for each check.

A failed check is a failure. An inconclusive one is skipped, which every reader of JUnit shows as "not tested", neither
green nor red. A warned one has passed, and says so in its output: JUnit has no warning, and a page that counts a
failure for a gate that let the checkpoint through would contradict the exit code.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from entropydx.reporters._words import visible
from entropydx.types import Gate, GateCheck, Report

NAME = "entropydx"
"""Of the suite, and the head of every class: constant, so that a dashboard follows a check from run to run."""


def document(gate: Gate, report: Report) -> str:
    """Return the document; control characters, which XML cannot hold, are shown as symbols."""
    shown: Gate = visible(gate)
    suite = _suite([_case(check) for check in shown.checks], f"{report.cost.wall_s:.3f}")
    suite.set("timestamp", shown.created_at)
    properties = ET.Element("properties")
    for name, value in _properties(shown, visible(report)).items():
        ET.SubElement(properties, "property", name=name, value=value)
    suite.insert(0, properties)
    return _written(suite)


def unfinished(reason: str) -> str:
    """Return the document of a run that gave no verdict: an error, which is neither a failure nor a pass."""
    case = ET.Element("testcase", classname=f"{NAME}.run", name="finished", time="0")
    ET.SubElement(case, "error", type="unfinished", message=visible(reason))
    return _written(_suite([case], "0"))


def _case(check: GateCheck) -> ET.Element:
    case = ET.Element("testcase", classname=f"{NAME}.{check.kind}", name=check.name, time="0")
    if check.verdict == "failed":
        ET.SubElement(case, "failure", type=check.kind, message=check.reason).text = check.reason
    elif check.verdict == "inconclusive":
        ET.SubElement(case, "skipped", message=f"inconclusive: {check.reason}")
    else:
        ET.SubElement(case, "system-out").text = f"{check.verdict}: {check.reason}"
    return case


def _properties(gate: Gate, report: Report) -> dict[str, str]:
    protocol = report.protocol
    return {
        "verdict": gate.verdict,
        "exit_code": str(gate.exit_code),
        "label": gate.label.value,
        "confidence": gate.confidence,
        "checkpoint": gate.checkpoint,
        "fingerprint": gate.fingerprint,
        "policy": gate.policy,
        "policy_sha": gate.policy_sha,
        "suite": protocol.suite,
        "seed": "unknown" if protocol.seed is None else str(protocol.seed),
        "engine": protocol.engine,
        "version": gate.tool.version,
    }


def _suite(cases: list[ET.Element], time: str) -> ET.Element:
    counts = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    suite = ET.Element("testsuite", name=NAME, time=time)
    for name, n in counts.items():
        suite.set(name, str(n))
    suite.extend(cases)
    return suite


def _written(suite: ET.Element) -> str:
    root = ET.Element("testsuites", {key: suite.attrib[key] for key in ("name", "tests", "failures", "errors", "time")})
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
