"""What sets and methods are called on pages and in drawings."""

NAMES = {
    "recipes": "`examples/recipes`",
    "support": "`examples/support_tickets`",
    "movie": "MIT Movie",
    "movie10": "MIT Movie 10-shot",
    "movie20": "MIT Movie 20-shot",
    "movie50": "MIT Movie 50-shot",
    "movie100": "MIT Movie 100-shot",
    "movie200": "MIT Movie 200-shot",
    "movie500": "MIT Movie 500-shot",
    "politics": "CrossNER politics 10-shot",
    "ai": "CrossNER AI 10-shot",
    "music": "CrossNER music 10-shot",
    "politics_full": "CrossNER politics, whole file",
    "ai_full": "CrossNER AI, whole file",
    "music_full": "CrossNER music, whole file",
    "conll": "CoNLL-2003",
    "ai100": "CrossNER AI",
    "music100": "CrossNER music",
    "politics200": "CrossNER politics",
    "conll100": "CoNLL-2003, 100 of each type",
    "conll250": "CoNLL-2003, 250 of each type",
    "conll50": "CoNLL-2003, 50 of each type",
    "indomain": "CoNLL-2003, in-domain split",
}
METHODS = {
    "fine_tuning": "full fine-tuning",
    "token_classifier": "token classifier",
    "lora": "LoRA",
    "prefix": "prefix tuning",
}
