PREDICT = "predict"
READ_USAGE = "usage:read"
FEEDBACK = "feedback"  # verdicts on lesions
PROBE = "probe"  # of a key that only tests the service: its requests are probes, never usage

SCOPES = (PREDICT, READ_USAGE, FEEDBACK, PROBE)
