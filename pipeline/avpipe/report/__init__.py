"""What a person looks at: shards in words, clips as pictures."""
