"""`twelvefold update` and `twelvefold undo`: a service takes a new version of its template and loses nothing.

`command` reads from top to bottom what an update does. `service` looks whether it can begin, `template` finds the
version, `rendering` makes the old and the new one, `trees` and `merge` let git merge them with the service, `obstacles`
looks for what git does not see, `changing` makes a commit or conflicts of it, `transition` changes the service in one
step that can be taken back, and `summary` says what happened.
"""
