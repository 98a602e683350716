"""Gymnasium's environments for CoreRL's agents, and CoreRL's environments for Gymnasium's agents.

``python3 -m corerl_gymnasium serve Pendulum-v1`` is an environment for ``corerl experiment`` (module ``server``).
``CorerlEnv`` is an environment of ``corerl experiment serve`` as a ``gymnasium.Env`` (module ``client``); so is
``gymnasium.make("corerl_gymnasium:CoreRL-v0", environment="saturation", max_episode_steps=600)``.

Both sides speak the protocol of module ``protocol``, over a Unix socket.
"""

import gymnasium

from corerl_gymnasium.client import CorerlEnv
from corerl_gymnasium.protocol import PROTOCOL, Broken

__all__ = ["PROTOCOL", "Broken", "CorerlEnv"]

gymnasium.register(id="CoreRL-v0", entry_point="corerl_gymnasium.client:CorerlEnv")
