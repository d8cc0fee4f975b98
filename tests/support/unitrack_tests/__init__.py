"""What tests share: benches, children, deaths, troubles, readers and the other helpers of more than one test file."""
