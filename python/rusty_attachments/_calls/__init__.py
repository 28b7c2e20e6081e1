"""How a call of the native module is begun, waited for, and pointed at S3."""
