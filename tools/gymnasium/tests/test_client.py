"""CoreRL's environments as gymnasium.Env: needs the program, whose path is in CORERL."""

import os
import subprocess
import tempfile
import unittest
import warnings

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env

from corerl_gymnasium import Broken, CorerlEnv

CORERL = os.environ.get("CORERL", "corerl")


def environments():
    """The names of all environments: what the program says when it is asked for one that it does not have."""
    command = [CORERL, "experiment", "serve", "--environment", "none"]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60).stderr
    return said.partition("known are ")[2].strip().split(", ")


def episode(env, seed, steps=30):
    """What is observed and rewarded under actions that the seed determines."""
    observation, _ = env.reset(seed=seed)
    seen = [observation.tolist()]
    chance = np.random.default_rng(seed)
    for _ in range(steps):
        observation, reward, *_ = env.step(chance.uniform(env.action_space.low, env.action_space.high))
        seen.append([*observation.tolist(), reward])
    return seen


class ClientTest(unittest.TestCase):
    def test_every_environment_passes_gymnasiums_checks_and_its_seed_determines_everything(self):
        names = environments()
        self.assertIn("saturation", names)
        for name in names:
            with self.subTest(name), warnings.catch_warnings():
                # Advice about spaces that are not symmetric around 0: units are those of the plant.
                warnings.simplefilter("ignore")
                env = CorerlEnv(name, corerl=CORERL)
                check_env(env, skip_render_check=True)
                first, again = episode(env, 5), episode(env, 5)
                self.assertEqual(first, again)
                follow = [env.reset()[0].tolist() for _ in range(3)]
                other = CorerlEnv(name, corerl=CORERL)
                self.assertEqual(episode(other, 5), first)
                self.assertEqual([other.reset()[0].tolist() for _ in range(3)], follow)
                env.close()
                other.close()

    def test_gymnasium_makes_one_by_its_id_with_a_time_limit(self):
        env = gymnasium.make("corerl_gymnasium:CoreRL-v0", environment="saturation", corerl=CORERL, max_episode_steps=5)
        env.reset(seed=1)
        ends = [env.step(env.action_space.sample())[3] for _ in range(5)]
        self.assertEqual(ends, [False] * 4 + [True])
        env.close()

    def test_a_case_file_is_served_with_its_options_and_what_is_missing_is_nan(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as case:
            case.write("{schema: corerl.case/1, name: mine, steps: 1, "
                       "environment: {name: saturation, missing_probability: 1}}")
            case.flush()
            env = CorerlEnv(case=case.name, corerl=CORERL)
        env.reset(seed=1)
        observation = env.step(env.action_space.low)[0]
        self.assertTrue(np.isnan(observation[0]) and np.isfinite(observation[1]), observation)
        env.close()

    def test_what_is_wrong_is_said(self):
        with self.assertRaisesRegex(ValueError, "one of environment"):
            CorerlEnv("saturation", socket="/tmp/x")
        with self.assertRaisesRegex(Broken, "corerl has ended"):
            CorerlEnv("no_such_environment", corerl=CORERL)
        with self.assertRaisesRegex(Broken, "cannot be started"):
            CorerlEnv("saturation", corerl="/no/such/corerl")
        with self.assertRaisesRegex(Broken, "nobody serves"):
            CorerlEnv(socket="/no/such/socket")
        env = CorerlEnv("saturation", corerl=CORERL)
        with self.assertRaisesRegex(ValueError, "before the first reset"):
            env.step(np.zeros(1))
        env.close()
        with self.assertRaisesRegex(Broken, "closed"):
            env.reset()


if __name__ == "__main__":
    unittest.main()
