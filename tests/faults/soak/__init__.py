"""Random faults under a steady load: `python -m tests.faults.soak --minutes 10 --seed 7 --replicas 3 --accounts 50`."""
