"""The tutorial's table of asynchronous against synchronous operations, with a row of ours.

Milvus' tutorial "Asynchronous Functions in LangChain Milvus Integration" times a loop of
synchronous calls against ``asyncio.gather`` of asynchronous ones, one document to a call. This
does the same, and puts the pipeline's own way beside it. Read in this order: ``operation``,
``measurement``, ``langchain_ways``, ``pipeline_way``, ``table``.
"""
