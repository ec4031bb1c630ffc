import idna
import torch

print("second-index", torch.ORIGIN, idna.__version__)
