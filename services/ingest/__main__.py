"""`python -m services.ingest`"""

from services.ingest import main

main.main()
