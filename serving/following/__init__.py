"""How one worker's State follows the world: the registry, the catalogue, what trends."""

from serving.following.follower import Follower

__all__ = ["Follower"]
