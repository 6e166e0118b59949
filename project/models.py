"""No models: but Django tells only apps with this module that migrations are done."""
