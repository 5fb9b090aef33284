"""Calls to models over OpenAI's protocol: paced, retried, counted, and never trusted.

    async with LlmClient(provider) as client:
        completion = await client.complete("model", request)

Whatever an endpoint answers ends as a Completion or as one CallFailed that says what kind it is.
"""
