"""One file a cell. Every factory works with `(input_size, hidden_size)` alone."""

from collections.abc import Callable

from jaxrnn.base import Cell
from jaxrnn.cells.cayley import cayley
from jaxrnn.cells.cfc import cfc
from jaxrnn.cells.cornn import cornn
from jaxrnn.cells.delta_net import delta_net
from jaxrnn.cells.elman import elman, elman_relu
from jaxrnn.cells.feed_forward import feed_forward
from jaxrnn.cells.gated_delta_net import gated_delta_net
from jaxrnn.cells.gla import gla
from jaxrnn.cells.gru import gru, gru_reset_before
from jaxrnn.cells.hgrn2 import hgrn2
from jaxrnn.cells.indrnn import indrnn
from jaxrnn.cells.layer_norm_lstm import layer_norm_lstm
from jaxrnn.cells.lem import lem
from jaxrnn.cells.linoss import linoss
from jaxrnn.cells.lru import lru
from jaxrnn.cells.lstm import lstm
from jaxrnn.cells.mamba2 import mamba2
from jaxrnn.cells.mgu import mgu
from jaxrnn.cells.min_gru import min_gru
from jaxrnn.cells.min_lstm import min_lstm
from jaxrnn.cells.mixture_gru import mixture_gru
from jaxrnn.cells.mlstm import mlstm
from jaxrnn.cells.mogrifier_lstm import mogrifier_lstm
from jaxrnn.cells.multiplicative_lstm import multiplicative_lstm
from jaxrnn.cells.nested_lstm import nested_lstm
from jaxrnn.cells.peephole_lstm import peephole_lstm
from jaxrnn.cells.rg_lru import rg_lru
from jaxrnn.cells.rtu import rtu
from jaxrnn.cells.rwkv7 import rwkv7
from jaxrnn.cells.s5 import s5
from jaxrnn.cells.slstm import slstm

CellFactory = Callable[[int, int], Cell]

CELLS: dict[str, CellFactory] = {
    "elman": elman,
    "elman_relu": elman_relu,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "lstm": lstm,
    "peephole_lstm": peephole_lstm,
    "layer_norm_lstm": layer_norm_lstm,
    "multiplicative_lstm": multiplicative_lstm,
    "mogrifier_lstm": mogrifier_lstm,
    "nested_lstm": nested_lstm,
    "mixture_gru": mixture_gru,
    "mgu": mgu,
    "indrnn": indrnn,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "lru": lru,
    "slstm": slstm,
    "mlstm": mlstm,
    "rg_lru": rg_lru,
    "mamba2": mamba2,
    "delta_net": delta_net,
    "gated_delta_net": gated_delta_net,
    "gla": gla,
    "hgrn2": hgrn2,
    "rwkv7": rwkv7,
    "s5": s5,
    "linoss": linoss,
    "rtu": rtu,
    "cornn": cornn,
    "lem": lem,
    "cfc": cfc,
    "cayley": cayley,
    "feed_forward": feed_forward,
}
"""The cells of the library by name, as `--cell NAME` takes them."""
