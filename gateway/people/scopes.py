PREDICT = "predict"
READ_USAGE = "usage:read"

SCOPES = (PREDICT, READ_USAGE)
