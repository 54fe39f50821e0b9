"""`python -m greeter`."""

from greeter import main

main()
