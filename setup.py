"""Package BuildAPI, including its twistd plugin."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION: dict[str, str] = {}
exec((HERE / "buildapi" / "__init__.py").read_text(encoding="utf-8"), VERSION)
MAN = [path.relative_to(HERE) for path in HERE.glob("docs/man/*.1")]

setup(
    name="buildapi",
    version=VERSION["__version__"],
    description="The self-serve desk of a Buildbot farm: see builds, rebuild, cancel, reprioritize",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    # twisted/ and twisted/plugins/ hold no __init__.py: "twisted.plugins" is named by
    # hand so that only our file lands in Twisted's own plugin directory.
    packages=[*find_packages(include=["buildapi", "buildapi.*"]), "twisted.plugins"],
    package_data={
        "buildapi": ["py.typed"],
        "buildapi.db": ["schema/*.sql"],
        "buildapi.reports": ["classification.toml", "templates/*.html"],
        "buildapi.sample": ["*.toml", "*.json", "*.sql"],
        "buildapi.web": ["templates/*.html", "static/*", "static/scripts/*"],
    },
    data_files=[("share/man/man1", sorted(map(str, MAN)))],
    entry_points={
        "console_scripts": [
            "buildapi = buildapi.cli.main:root",
            "check_buildapi = buildapi.nagios.command:main",
        ]
    },
    python_requires=">=3.11",
    install_requires=[
        "attrs>=23.2",
        "click>=8.1,<9",
        "httpx>=0.27,<1",
        "Jinja2>=3.1,<4",
        "klein>=24.8,<25",
        "msgspec>=0.19,<1",
        "multipart>=1.2,<3",
        "orjson>=3.10,<4",
        "prometheus-client>=0.21,<1",
        "PyMySQL>=1.2,<1.3",  # db/mysql_rows reads its packets past its public methods
        "treq>=24.9",
        "Twisted[tls]>=24.11",
        "txAMQP>=0.8.2,<0.9",
        "tzdata",
    ],
    extras_require={
        "docs": [
            "furo>=2025.7",
            "myst-parser>=4,<6",
            "Sphinx>=8.1,<10",
        ],
        "nagios": ["nagiosplugin>=1.4,<2"],
        "progress": ["rich>=13"],
        "test": [
            "aiosmtpd>=1.4.6,<2",
            "axe-playwright-python>=0.1.4,<0.2",
            "build>=1.2,<2",
            "hypothesis>=6.100",
            "jsonschema-rs>=0.40,<1",
            "markdown-it-py>=3,<5",
            "nagiosplugin>=1.4,<2",
            "openapi-spec-validator>=0.7.2,<0.10",
            "playwright>=1.55",
            "pytest>=8.4",
            "pytest-twisted>=1.14.3",
            "pytest-xdist>=3.6",
            "PyYAML>=6,<7",
            "rich>=13",
            "schemathesis>=4.32,<5",
            "supervisor>=4.3,<5",
            "cryptography>=43",
            "tinyhtml5>=2,<3",
        ],
        "dev": [
            "mypy>=1.15",
            "nagiosplugin-stubs>=0.7",
            "pre-commit>=4",
            "ruff>=0.11",
            "types-PyMySQL>=1.1",
        ],
    },
    classifiers=[
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Software Development :: Build Tools",
    ],
)
