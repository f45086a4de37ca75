# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras._tf_keras.keras.preprocessing.text import Tokenizer as Tokenizer
from keras._tf_keras.keras.preprocessing.text import hashing_trick as hashing_trick
from keras._tf_keras.keras.preprocessing.text import one_hot as one_hot
from keras._tf_keras.keras.preprocessing.text import text_to_word_sequence as text_to_word_sequence
from keras._tf_keras.keras.preprocessing.text import tokenizer_from_json as tokenizer_from_json
