"""The siege: everything is killed, cut off and fed rubbish, and nothing may be lost."""
