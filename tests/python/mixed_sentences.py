"""Seeded sentences of mixed length and content."""

import numpy as np

_PLAIN = """
the a of to and in is that it for with as on was at by be this from are or an my how what when why
password account invoice refund delivery parcel printer network router signal battery screen
keyboard update install download licence subscription renewal discount address country
language setting backup folder document spreadsheet calendar meeting contract
customer manager engineer physician librarian
river mountain forest orchestra violin painting sculpture novel poem chapter kitchen recipe garlic
running quickly slowly unbelievable internationalisation antidisestablishmentarianism misunderstood
neural transformer embedding gradient 42 3.14159 2026-11-21 e-mail don't co-operate C++ #hashtag
"""
_OTHER_SCRIPTS = """
naïve café Zürich Ångström Łódź Москва привет Ελλάδα 東京 日本語 你好世界 한국어 עברית العربية
हिन्दी ไทย
e\u0301 \u200b \ufeff ½ № ﬁ Ⅷ
"""
_EMOJI = "😀 🚀 👍🏽 👩‍👩‍👧 🇨🇭 ❤️ 🤷🏾‍♀️ 🎉🎉🎉"
_WORDS = [text.split() for text in (_PLAIN, _OTHER_SCRIPTS, _EMOJI)]
_MARKS = ["", "", "", "", ",", ".", "!", "?", ";", "...", ":)", '"']
_ODD = ["", " ", "\n\t", ".", "👍", "\0", "[CLS] [SEP] [PAD]", "x" * 2000, "a " * 300, "日" * 300]


def mixed_sentences(count, seed=20261121):
    """Return ``count`` texts: 1 to 300 words, the lengths spread by ratio, and the odd cases."""
    rng = np.random.default_rng(seed)
    texts = _ODD[:count]
    while len(texts) < count:
        num_words = int(np.exp(rng.uniform(0, np.log(300.999))))
        texts.append(" ".join(_word(rng) for _ in range(num_words)))
    rng.shuffle(texts)
    return texts


def _word(rng):
    words = _WORDS[rng.choice(3, p=[0.85, 0.1, 0.05])]
    word = words[rng.integers(len(words))]
    if rng.random() < 0.1:
        word = word.capitalize()
    return word + _MARKS[rng.integers(len(_MARKS))]
