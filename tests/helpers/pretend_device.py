"""A pretend device: its tensors say that they are on a GPU, and compute on the CPU.

Code that mixes devices fails on it as it does on a GPU, and what makes a GPU wait is counted.
"""

import sys
from collections import Counter
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

aten = torch.ops.aten

# The size of what they return depends on values, or they return a value.
_WAITING = {
    *(aten._local_scalar_dense, aten.equal, aten.nonzero, aten.masked_select, aten.bincount),
    *(aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.repeat_interleave),
}
_INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
_MOVING = {aten._to_copy, aten.copy_}


class PretendTensor(torch.Tensor):
    """A tensor of the pretend device; ``host`` has its values."""

    # "lazy" has what autograd needs in every build of torch, and nothing that computes.
    place = torch.device("lazy", 0)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host):
        layout = {"strides": host.stride(), "storage_offset": host.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(
            cls, host.size(), dtype=host.dtype, device=cls.place, **layout
        )

    def __init__(self, host):
        self.host = host

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})

    # These two do not come by the dispatcher.
    def tolist(self):
        _note("wait", "tolist")
        return self.host.tolist()

    def new_tensor(self, data, dtype=None):
        _note("upload", "new_tensor")
        return PretendTensor(self.host.new_tensor(data, dtype=dtype))


class Watch(TorchDispatchMode):
    """Within it tensors can be made on the pretend device, and its traffic is counted.

    Attributes:
        counts: of "wait" (the device has to be done), "download" (a wait too) and "upload", with
            the operator and the line of this project.
    """

    current = None

    def __enter__(self):
        self.counts = Counter()
        Watch.current = self
        return super().__enter__()

    def __exit__(self, *error):
        Watch.current = None
        return super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})

    def synchronisations(self):
        """What made the device wait, and how often."""
        return Counter({key: n for key, n in self.counts.items() if key[0] != "upload"})


def _note(kind, name):
    frame, place = sys._getframe(), ""
    while frame is not None and not place:
        _, package, path = frame.f_code.co_filename.partition("/vlpt_d2/")
        place = f"{path}:{frame.f_lineno}" if package else ""
        frame = frame.f_back
    if Watch.current is not None:
        Watch.current.counts[kind, name, place] += 1


def _computed(func, args, kwargs):
    """Run an operator on the CPU, as one of the pretend device where that is where it belongs."""
    pretended, others = [], []

    def host(x):
        if isinstance(x, PretendTensor):
            pretended.append(x)
            return x.host
        if isinstance(x, torch.Tensor):
            others.append(x)
        elif isinstance(x, list | tuple):
            return type(x)(map(host, x))
        return x

    arguments, keywords = host(args), {name: host(value) for name, value in kwargs.items()}
    device = kwargs.get("device")
    here = device is not None and torch.device(device).type == PretendTensor.place.type
    if not pretended and not here:
        return func(*args, **kwargs)
    packet = func.overloadpacket
    if packet is aten._fused_sdp_choice:
        return 0  # attention written out: other kinds ask for the device
    if packet in _MOVING:
        source, target = (args[0], None) if packet is aten._to_copy else (args[1], args[0])
        to_here = here or (device is None and isinstance(target, PretendTensor))
        to_here |= packet is aten._to_copy and device is None and bool(pretended)
        if isinstance(source, PretendTensor) != to_here:
            _note("upload" if to_here else "download", packet.__name__)
    else:
        to_here = True
        _look_for_faults(packet, args, others)
    if device is not None:
        keywords["device"] = torch.device("cpu")
    if packet.__name__ == "cudnn_batch_norm":
        out = (*aten.native_batch_norm(*arguments), torch.empty(0, dtype=torch.uint8))
    else:
        out = func(*arguments, **keywords)
    if not to_here:
        return out.clone() if packet is aten._to_copy else target
    return return_and_correct_aliasing(func, args, kwargs, _wrapped(out))


def _look_for_faults(packet, args, others):
    for x in others:
        if packet in _INDEXING and any(x is index for index in args[1]):
            _note("upload", "index")
        elif x.dim():
            raise RuntimeError(f"{packet}: a CPU tensor {tuple(x.shape)} among those of the GPU")
    if packet in _WAITING:
        _note("wait", packet.__name__)
    elif packet in _INDEXING:
        masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
        # torch fills where one mask says so without asking how often that is.
        fills = len(args) > 2 and args[2].numel() == 1 and len(args[1]) == 1 and not any(args[3:4])
        if masks and not fills:
            _note("wait", "index by a mask")


def _wrapped(out):
    if isinstance(out, torch.Tensor):
        return out if isinstance(out, PretendTensor) else PretendTensor(out)
    return type(out)(map(_wrapped, out)) if isinstance(out, list | tuple) else out


def move(module):
    """Move a module to the pretend device, which ``Module.to`` cannot.

    Optimisers are to be built afterwards.
    """
    moved = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, x in tensors.items():
                if x is None:
                    continue
                if x not in moved:
                    there = PretendTensor(x.detach())
                    is_parameter = tensors is part._parameters
                    moved[x] = nn.Parameter(there, x.requires_grad) if is_parameter else there
                tensors[name] = moved[x]
    return module


def _ctc_loss(log_probs, targets, *lengths_and_options):
    """Read the lengths first, as torch does but for tensors of other classes."""
    *lengths, blank, reduction, zero_infinity = lengths_and_options
    lengths = [x.tolist() for x in lengths]
    return _torch_ctc_loss(log_probs, targets, *lengths, blank, reduction, zero_infinity)


_torch_ctc_loss = torch.ctc_loss


@contextmanager
def pretend_device(monkeypatch, name="lazy"):
    """Watch the pretend device, under the name "lazy" or "cuda".

    As "cuda" autocast is that of CUDA, and there is no backward pass; as "lazy" no autocast.
    """
    with monkeypatch.context() as patch, torch.autograd.set_multithreading_enabled(False):
        patch.setattr(PretendTensor, "place", torch.device(name, 0))
        patch.setattr(torch, "ctc_loss", _ctc_loss)
        if name == "cuda":
            torch._C._ensureCUDADeviceGuardSet()
            patch.setattr(torch.cuda, "_lazy_init", lambda: None)
            patch.setattr(torch.cuda, "is_bf16_supported", lambda *args, **kwargs: True)
            patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
        else:
            patch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
        with Watch() as watch:
            yield watch
