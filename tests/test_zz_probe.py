import time, logging
from tests.test_serve_ray import *
def test_latency(service):
    for r in range(3):
        for d in DOMAINS:
            for t in TEXTS:
                a=time.monotonic(); c=service.ask(d,t).status_code; print(f"{r} {d} {len(t)} {c} {time.monotonic()-a:.3f}", flush=True)
del test_one_at_a_time_equals_mixed_in_one_request_equals_offline
