"""A scripted server that speaks OpenAI's protocol, in a process of its own.

It judges by a plain rule, so that a test knows every verdict beforehand, and fails at stated rates.
`python -m tests.llm_server --help` names what can be asked of it; start_llm_server() starts one.
"""

from tests.llm_server.process import LlmServer, start_llm_server

__all__ = ["LlmServer", "start_llm_server"]
