"""The files of a checkpoint, wherever they lie: a folder, a repo on the Hub, and the shards that hold the weights."""
