"""Stand in for the compiled MySQLdb driver under Python 2.7.

Buildbot 0.8.2 imports "MySQLdb" by name and insists on paramstyle "format".  PyMySQL 0.10.1 takes
the same connection arguments and "%s" place holders, but announces itself as "pyformat".
"""

from pymysql import (  # noqa: F401 (this is what a master expects to find here)
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
    apilevel,
    connect,
    threadsafety,
)

paramstyle = "format"
