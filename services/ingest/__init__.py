"""From a gateway or a recording to `option-chain`."""
