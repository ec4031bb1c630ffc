import numpy
import pandas
import torch

print("data-extras", numpy.__version__, pandas.__version__, torch.__version__)
