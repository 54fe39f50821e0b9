"""x."""
def test_a(jobs):
    run = jobs('''
        from seen import note
        def check_a(): note("check")
        def job_a(): note("run")
        def job_b(a): print(a)
    ''')
    print(run.text)
    assert run.outcomes == {"a": "unchanged"}
    assert run.seen == ["check"]
