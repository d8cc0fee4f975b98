"""From the calls and values of SDKs to those of a unitrack run, for the real SDKs and for the drop-in modules alike."""
