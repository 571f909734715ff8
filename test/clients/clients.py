"""Asks a gateway through the Python clients of other services; prints one JSON object per client.

Usage: clients.py URL, with data URIs of three pictures and one broken one as a JSON list on standard input.
"""

import base64
import io
import json
import sys

import numpy as np
from PIL import Image

URL = sys.argv[1]
*PICTURES, BROKEN = json.load(sys.stdin)
BYTES = [base64.b64decode(uri.split(",", 1)[1]) for uri in PICTURES]


def refusal(ask):
    """What a client raises, as its class and sentence."""
    try:
        ask()
    except Exception as error:  # each client has classes of its own
        return [type(error).__name__, str(error)]
    return None


def tell(client, vectors, **more):
    numbers = [[float(np.float32(value)) for value in vector] for vector in vectors]
    print(json.dumps({"client": client, "vectors": numbers, **more}), flush=True)


def ask_openai():
    from openai import OpenAI

    client = OpenAI(base_url=f"{URL}/v1", api_key="any", max_retries=0)
    create = lambda pictures, **more: client.embeddings.create(model="tiny", input=pictures, **more)
    raw = client.embeddings.with_raw_response.create(
        model="tiny", input=PICTURES[0], extra_headers={"Compute-Budget": "level=0"}
    )
    tell(
        "openai",
        [item.embedding for item in create(PICTURES).data],
        many=len(create(PICTURES[:1] * 300).data),
        applied=raw.headers["compute-applied"],
        broken=refusal(lambda: create([PICTURES[0], BROKEN])),
        budget=refusal(lambda: create(PICTURES, extra_body={"compute_budget": {"flop": 1}})),
        text=refusal(lambda: create("a fish")),
    )


def ask_langchain():
    from langchain_openai import OpenAIEmbeddings

    # It cuts text into tokens unless it is told not to.
    model = OpenAIEmbeddings(
        model="tiny", base_url=f"{URL}/v1", api_key="any", max_retries=0, check_embedding_ctx_length=False
    )
    tell(
        "langchain-openai",
        model.embed_documents(PICTURES),
        broken=refusal(lambda: model.embed_documents([PICTURES[0], BROKEN])),
    )


def ask_litellm():
    import litellm

    ask = lambda pictures, **more: litellm.embedding(
        model="openai/tiny", input=pictures, api_base=f"{URL}/v1", api_key="any", max_retries=0, num_retries=0, **more
    )
    tell(
        "litellm",
        [item["embedding"] for item in ask(PICTURES).data],
        many=len(ask(PICTURES[:1] * 300).data),
        broken=refusal(lambda: ask([PICTURES[0], BROKEN])),
        budget=refusal(lambda: ask(PICTURES, extra_headers={"X-Compute-Budget": "flop=1"})),
    )


def ask_cohere():
    import cohere

    client = cohere.ClientV2(api_key="any", base_url=URL)
    ask = lambda pictures: client.embed(
        model="tiny", input_type="image", images=pictures, embedding_types=["float", "ubinary"]
    )
    answer = ask(PICTURES[:1]).embeddings
    tell(
        "cohere",
        [ask([picture]).embeddings.float_[0] for picture in PICTURES],
        bytes=len(answer.ubinary[0]),
        broken=refusal(lambda: ask([BROKEN])),
    )


def ask_voyage():
    import voyageai

    client = voyageai.Client(api_key="any", base_url=f"{URL}/v1")
    pictures = [[Image.open(io.BytesIO(data))] for data in BYTES]
    tell(
        "voyageai",
        client.multimodal_embed(inputs=pictures, model="tiny").embeddings,
        text=refusal(lambda: client.multimodal_embed(inputs=[["a fish"]], model="tiny")),
    )


def ask_triton():
    import tritonclient.http as triton

    client = triton.InferenceServerClient(url=URL.removeprefix("http://"))
    tensor = triton.InferInput("image", [len(BYTES)], "BYTES")

    def ask(binary, data, **more):
        tensor.set_data_from_numpy(np.array(data, dtype=np.object_), binary_data=binary)
        output = triton.InferRequestedOutput("embedding", binary_data=binary)
        return client.infer("tiny", [tensor], outputs=[output], **more).as_numpy("embedding")

    texts = [base64.b64encode(data) for data in BYTES]
    binary = ask(True, BYTES)
    tell(
        "tritonclient",
        binary,
        ready=[client.is_server_live(), client.is_server_ready(), client.is_model_ready("tiny")],
        same=bool(np.array_equal(binary, ask(False, texts))),
        shape=client.get_model_metadata("tiny")["outputs"][0]["shape"],
        broken=refusal(lambda: ask(True, [b"not an image"] * len(BYTES))),
        budget=refusal(lambda: ask(True, BYTES, parameters={"compute_budget": "flop=1"})),
    )


for ask in [ask_openai, ask_langchain, ask_litellm, ask_cohere, ask_voyage, ask_triton]:
    ask()
