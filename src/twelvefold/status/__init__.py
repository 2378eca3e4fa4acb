"""`twelvefold status`: where each service of a fleet stands, in one table.

`command` reads from top to bottom what it does. `places` reads which services are meant, `local` and `remote` look at
one where it lies, `git` asks servers without waiting for ever, `fleet` does all of it side by side, `standing` judges
what was found, and `table` and `document` say it to people and to programs.
"""
