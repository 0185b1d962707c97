"""The figures' words that notebooks write in English, in Portuguese: LANGUAGE=pt puts them in.

What `plotting` itself writes is in plotting.WORDS, in both languages.
"""

import re

LINES = {  # a line of a figure, as a pattern, and its translation
    # 01
    "width": "largura",
    "height": "altura",
    "kilobytes": "quilobytes",
    "pictures": "imagens",
    "cat": "gato",
    "dog": "cachorro",
    "head": "cabeça",
    "animal": "animal",
    "difference": "diferença",
    "lung": "pulmão",
    "opacity": "opacidade",
    # 03, 04, 05
    r"k = (\d+) \(red\)": r"k = \1 (vermelho)",
    r"k = (\d+) \(green\)": r"k = \1 (verde)",
    r"k = (\d+) \(blue\)": r"k = \1 (azul)",
    "max": "máximo",
    "sum": "soma",
    "mean": "média",
    "norm": "norma",
    r"max of abs \(the report\)": "máx. dos módulos (o relatório)",
    "abs of max": "módulo do máx.",
    r"sample (\d+)": r"amostra \1",
    "no noise": "sem ruído",
    r"maps \(the report\)": "mapas (o relatório)",
    r"absolute \(tf-keras-vis\)": "módulos (tf-keras-vis)",
    r"signed \(the paper\)": "com sinal (o artigo)",
    "squared": "quadrados",
    r"(\d+%) kept": r"\1 mantidas",
    "true": "verdadeira",
    "corners": "cantos",
    "half-pixel": "meio pixel",
    # 08
    "saliency": "saliência",
    "× input, positive": "× entrada, positivo",
    "× input, negative": "× entrada, negativo",
    r"sum ([+-].*)": r"soma \1",
    "guided": "guiada",
    "gradient": "gradiente",
    "other class": "outra classe",
    "random layers": "camadas aleatórias",
    r"(\d+) feature maps": r"\1 mapas de características",
    "at most (.*)": r"no máximo \1",
    "from (.*) to (.*)": r"de \1 a \2",
    "Each map on its own scale; RISE without its smallest value.": "Cada mapa em sua própria "
    "escala; RISE sem seu menor valor.",
    # 09
    "centre": "centro",
    "edges": "bordas",
    "another picture": "outra imagem",
    "untrained": "não treinada",
    "saliency, blurred": "saliência, desfocada",
    "copies that keep": "cópias que mantêm",
    "their class": "sua classe",
    "values out": "valores fora",
    "of range": "do intervalo",
    "energy on": "energia",
    "the head": "na cabeça",
    "total": "variação",
    "variation": "total",
    "(.*), animal": r"\1, animal",
    "(.*), head": r"\1, cabeça",
    "energy in the region": "energia na região",
    # 10
    "as it is": "como é",
    "lungs black": "pulmões pretos",
    "box of lungs black": "caixa dos pulmões preta",
    "only lungs": "só os pulmões",
    "no borders": "sem as bordas",
    "no corners": "sem os cantos",
    "accuracy of a classifier trained on such slices": "acurácia de um classificador treinado em "
    "tais cortes",
    # A1
    "picture": "imagem",
    "network": "rede",
    "perceptron": "perceptron",
    "cat or dog": "gato ou cachorro",
    "3 or 8": "3 ou 8",
    r"cat or dog, momentum (.*)": r"gato ou cachorro, momento \1",
    r"3 or 8, momentum (.*)": r"3 ou 8, momento \1",
    "thousand steps": "milhares de passos",
    "largest difference": "maior diferença",
    "share of the way from the cat to its dog": "parte do caminho do gato ao seu cachorro",
    "share of the way": "parte do caminho",
    "score S": "pontuação S",
    "median error, as share": "erro mediano, como parte",
    "of the median change": "da mudança mediana",
    "to its twin": "ao seu gêmeo",
    "to another dog": "a outro cachorro",
    "A drawn cat, its twin the dog, and two handwritten digits.": "Um gato desenhado, seu gêmeo, o "
    "cachorro, e dois algarismos manuscritos.",
    r"Means of drawn heads: cat, dog, dog minus cat \(red: the dog is brighter\)\.": "Médias de "
    "cabeças desenhadas: gato, cachorro, cachorro menos gato (vermelho: o cachorro é mais claro).",
    "Weights of the perceptron: drawn heads, handwritten digits.": "Pesos do perceptron: cabeças "
    "desenhadas, algarismos manuscritos.",
    "Weights of the linear regression: drawn heads, handwritten digits.": "Pesos da regressão "
    "linear: cabeças desenhadas, algarismos manuscritos.",
    "Weights of the logistic regression: drawn heads, handwritten digits.": "Pesos da regressão "
    "logística: cabeças desenhadas, algarismos manuscritos.",
    "Downhill to least squares, on drawn heads and on digits.": "Descida aos mínimos quadrados, em "
    "cabeças desenhadas e em algarismos.",
    "Drawn heads; below each the slope of its logistic score, then the network's.": "Cabeças "
    "desenhadas; abaixo de cada uma a inclinação de sua pontuação logística, depois a da rede.",
    "Drawn heads. Left: our scene, grey where a unit switches. Right: all cats.": "Cabeças "
    "desenhadas. À esquerda: nossa cena, cinza onde uma unidade muda. À direita: todos os gatos.",
    r"A drawn cat and its twin; \|∂S/∂I\| of each model, VGG-16's for all pixels.": "Um gato "
    "desenhado e seu gêmeo; |∂S/∂I| de cada modelo, o da VGG-16 para todos os pixels.",
}
WHOLE = {  # texts of two lines whose words change places
    "linear\nregression": "regressão\nlinear",
    "logistic\nregression": "regressão\nlogística",
}


def translated(text):
    """A text of a figure in Portuguese, line by line; what is not known stays as it is."""
    if text in WHOLE:
        return WHOLE[text]
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line):
    for pattern, words in LINES.items():
        if found := re.fullmatch(pattern, line):
            return found.expand(words)
    return line
