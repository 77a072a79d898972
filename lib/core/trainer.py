"""One optimisation step on any number of devices, and the arrays that belong to it.

Every device runs its own batch; gradients are summed over devices, over accumulated batches and over the processes of a
distributed run, never averaged, as the originals sum them. So `k` devices, one device accumulating `k` batches and `k`
processes are the same computation.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.core.distributed import MPI, Buckets, join, share_arrays
from fullconv.lib.core.executors import ExecutorPool, Shapes
from fullconv.lib.core.joint_batch import JointBatch
from fullconv.lib.core.optimizer import OPTIMIZERS
from fullconv.lib.core.optimizer.multipliers import Rule, lr_multipliers, wd_multipliers

Arrays = Dict[str, mx.nd.NDArray]
Batch = Mapping[str, np.ndarray]


def fixed_parameters(names: Sequence[str], prefixes: Sequence[str]) -> List[str]:
    """Names that start with one of the prefixes (the original's rule: 'gamma' fixes nothing, names end with it)."""
    return [name for name in names if name.startswith(tuple(prefixes))] if prefixes else []


KVSTORES = ("local", "device", MPI)
"""What sums the gradients of an update: MXNet's stores for the devices of this process, or, besides, MPI for several
processes."""


class Trainer:
    """Parameters, gradients, momentum and executors of a training run.

    largest: input shapes the executors are first bound at. accumulate: batches per device and update.
    kvstore: one of KVSTORES.
    rescale_grad: factor on the summed gradient; average: also divide it by the batches of an update, those of all
    workers, as Caffe does. optimizer: one of OPTIMIZERS. rules: learning-rate and decay
    multipliers by name, over those in the symbol. Parameters whose `lr_mult` is 0 are fixed: they get no gradient.
    joint_norms: batch norms take the statistics of what all devices of this worker have at a time, see `JointBatch`;
    fills: its padding values.
    """

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        contexts: Sequence[mx.Context],
        largest: Shapes,
        fixed_prefixes: Sequence[str] = (),
        momentum: float = 0.9,
        wd: float = 0.0005,
        accumulate: int = 1,
        kvstore: str = "device",
        executor_limit: int = 8,
        rescale_grad: float = 1.0,
        optimizer: str = "sgd",
        rules: Sequence[Rule] = (),
        average: bool = False,
        joint_norms: bool = False,
        fills: Mapping[str, float] = {},  # noqa: B006 (only read)
    ) -> None:
        names = [n for n in symbol.list_arguments() if n not in largest]
        mults = lr_multipliers(symbol, rules)
        fixed = set(fixed_parameters(names, fixed_prefixes)) | {n for n in names if mults.get(n) == 0}
        self.learned = [n for n in names if n not in fixed]
        self.accumulate = accumulate
        grad_req = dict.fromkeys(self.learned, "write" if accumulate == 1 else "add")
        self.contexts = list(contexts)
        self.joint = JointBatch(symbol, largest, len(contexts), fills) if joint_norms else None
        if self.joint is None:
            self.pools = [ExecutorPool(symbol, ctx, largest, grad_req, executor_limit) for ctx in contexts]
        else:
            graph, shapes, groups = self.joint.symbol, self.joint.shapes, self.joint.groups(contexts)
            self.pools = [ExecutorPool(graph, contexts[0], shapes, grad_req, executor_limit, groups)]
        self.world = join(kvstore)
        self.store = None
        if len(self.pools) > 1:
            self.store = mx.kv.create("device" if kvstore == MPI else kvstore)
            for key, name in enumerate(self.learned):
                self.store.init(key, self.pools[0].grads[name].zeros_like())
        shapes = {n: self.pools[0].params[n].shape for n in self.learned}
        self.buckets = Buckets(self.world, shapes) if self.world.size > 1 else None
        if average:
            rescale_grad /= self.batches_per_update
        decays = wd_multipliers(symbol, rules)
        learned = {n: self.pools[0].params[n] for n in self.learned}
        self.optimizer = OPTIMIZERS[optimizer](learned, momentum, wd, mults, decays, rescale_grad)
        self.num_update = 0

    @property
    def worker(self) -> Tuple[int, int]:
        """(rank, number of workers) of this process in distributed training; (0, 1) otherwise."""
        return self.world.rank, self.world.size

    @property
    def batches_per_step(self) -> int:
        """Batches one update consumes on this worker."""
        return len(self.contexts) * self.accumulate

    @property
    def batches_per_update(self) -> int:
        """Batches one update consumes on all workers."""
        return self.batches_per_step * self.world.size

    # ------------------------------------------------------------------------------------------ parameters

    def param_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Shapes of all parameters and auxiliary states by name."""
        pool = self.pools[0]
        return {n: a.shape for n, a in list(pool.params.items()) + list(pool.aux.items())}

    def parameter_count(self) -> int:
        """Numbers in all parameters and auxiliary states."""
        return sum(int(np.prod(shape)) for shape in self.param_shapes().values())

    def set_params(self, arg_params: Arrays, aux_params: Arrays) -> None:
        """Copy parameters to every device; names the network does not have are skipped."""
        self._copy_to_devices(arg_params, aux_params)

    def _copy_to_devices(self, args: Arrays, aux: Arrays) -> None:
        for pool in self.pools:
            for mine, given in ((pool.params, args), (pool.aux, aux)):
                for name in mine:
                    if given[name] is not mine[name]:
                        given[name].astype("float32").copyto(mine[name])

    def get_params(self) -> Tuple[Arrays, Arrays]:
        """Copies of (arg_params, aux_params) on the CPU; auxiliary states are averaged over devices."""
        # MXNet's engine does not know that a pass writes auxiliary states, so reading them waits for nothing.
        mx.nd.waitall()
        args = {n: a.as_in_context(mx.cpu()).copy() for n, a in self.pools[0].params.items()}
        aux = {}
        for name in self.pools[0].aux:
            copies = [pool.aux[name].as_in_context(mx.cpu()) for pool in self.pools]
            aux[name] = sum(copies[1:], copies[0].copy()) / len(copies)
        return args, aux

    def get_optimizer_state(self) -> Arrays:
        """Copies of the optimizer's arrays on the CPU: momentum by parameter name, and what else it keeps."""
        return {n: a.as_in_context(mx.cpu()).copy() for n, a in self.optimizer.states.items()}

    def set_optimizer_state(self, states: Arrays) -> None:
        """Restore what `get_optimizer_state` returned. Raises ValueError: it is another optimizer's."""
        shapes = {name: state.shape for name, state in self.optimizer.states.items()}
        if {name: state.shape for name, state in states.items()} != shapes:
            raise ValueError("the saved state is another optimizer's: resume with the optimizer of its configuration")
        for name, state in self.optimizer.states.items():
            states[name].copyto(state)

    def share(self) -> bool:
        """Give every worker the first one's parameters, optimizer and number of updates; the auxiliary states become
        their average over devices and workers. Returns whether the workers had the same before. All workers.
        """
        if self.world.size == 1:
            return True
        self.num_update = self.world.of_first(lambda: self.num_update)
        params = self.pools[0].params
        same = share_arrays(self.world, params) & share_arrays(self.world, self.optimizer.states)
        aux = self.get_params()[1]
        for array in aux.values():
            total = array.asnumpy()
            self.world.sum(total)
            array[:] = total / self.world.size
        self._copy_to_devices(params, aux)
        return same

    def seed(self, number: int) -> None:
        """Seed what operators on these devices draw by themselves (dropout), and nothing of any other device."""
        place = self.world.rank * len(self.contexts)
        for ctx in self.contexts:
            mx.random.seed((number + place) % 2**31, ctx=ctx)
            place += 1

    def diverged(self) -> List[str]:
        """Names of the learned parameters that hold infinite or nan values; waits for the first device."""
        params = [(name, self.pools[0].params[name]) for name in self.learned]
        # MXNet's operator takes 200 arrays at most, and ends the process when given more.
        chunks = [params[i : i + 100] for i in range(0, len(params), 100)]
        finite = [mx.nd.multi_all_finite(*[a for _, a in chunk], num_arrays=len(chunk)) for chunk in chunks]
        suspects = [pair for chunk, flag in zip(chunks, finite) if not flag.asscalar() for pair in chunk]
        return [name for name, array in suspects if not np.isfinite(array.asnumpy()).all()]

    # ------------------------------------------------------------------------------------------------ step

    def step(
        self,
        batches: Sequence[Batch],
        lr: float,
        on_outputs: Optional[Callable[[Batch, List[mx.nd.NDArray]], None]] = None,
    ) -> None:
        """One update from `batches_per_step` batches.

        on_outputs(batch, outputs) is called for each batch once its passes are queued on the device, which it must not
        wait for; both are valid until it returns.
        """
        if len(batches) != self.batches_per_step:
            raise ValueError(f"one update takes {self.batches_per_step} batches, got {len(batches)}")
        if self.accumulate > 1:
            self._clear_gradients()
        for begin in range(0, len(batches), len(self.contexts)):
            self._pass(batches[begin : begin + len(self.contexts)], on_outputs)
        self._sum_gradients()
        self.num_update += 1
        first, *others = self.pools
        params = first.params
        self.optimizer.update(params, first.grads, lr, self.num_update)
        for pool in others:
            copies = pool.params
            for name in self.learned:
                params[name].copyto(copies[name])

    def _pass(
        self, batches: Sequence[Batch], on_outputs: Optional[Callable[[Batch, List[mx.nd.NDArray]], None]]
    ) -> None:
        """Forward and backward, one batch per device. Each step is queued on all devices before the next: otherwise
        MXNet makes processor devices wait for each other, in copies and for the scratch memory of operators.
        """
        for pool, batch in zip(self.pools, batches if self.joint is None else [self.joint.together(batches)]):
            pool.feed(batch)
        outputs = []
        for pool in self.pools:
            outputs.append(pool.run(is_train=True))
            pool.backward()
        if on_outputs is not None:
            for pool, results in zip(self.pools, outputs):
                inputs = {n: pool.current.arg_dict[n] for n in pool.input_names}
                for device in [(inputs, results)] if self.joint is None else self.joint.apart(inputs, results):
                    on_outputs(*device)

    def _clear_gradients(self) -> None:
        for pool in self.pools:
            for grad in pool.grads.values():
                grad[:] = 0

    def _sum_gradients(self) -> None:
        """The sum over devices and workers into the first device's arrays."""
        grads = [pool.grads for pool in self.pools]
        if self.store is not None:
            for key, name in enumerate(self.learned):
                arrays = [g[name] for g in grads]
                self.store.push(key, arrays, priority=-key)
                self.store.pull(key, arrays[0], priority=-key)
        if self.buckets is not None:
            self.buckets.sum({name: grads[0][name] for name in self.learned})
