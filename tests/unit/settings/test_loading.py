"""Which source decides, and what is said about a value that cannot be right."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.client.settings import ClientSettings
from homeport.errors import SettingsError
from homeport.server.settings import ServerSettings
from homeport.settings import SettingsFile, load, variables


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    body_bytes: Annotated[int, msgspec.Meta(ge=1)] = 10
    idle_timeout: float = 60.0


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    http: str = "default"
    dev: bool = False
    node: str | None = None
    origins: tuple[str, ...] = ()
    ports: list[int] = []
    level: Literal["low", "high"] = "low"
    share: Annotated[float, msgspec.Meta(ge=0, le=1, extra={"unit": "ratio"})] = 0.5
    labels: dict[str, int] = {}
    token: str = ""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.dev and self.node == "lonely":
            raise SettingsError("server.dev and this node exclude each other; choose one")


def loaded(
    file: object = None, environ: Mapping[str, str] | None = None, arguments: Mapping[str, object] | None = None
) -> Shape:
    content = None if file is None else SettingsFile(content={"server": file})
    return load(Shape, prefix="server", arguments=arguments, environ=environ, file=content)


def error_of(*sources: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(*sources)
    return str(caught.value)


class TestPrecedence:
    @pytest.mark.parametrize(
        ("file", "environ", "arguments", "expected"),
        [
            (None, {}, {}, "default"),
            ("file", {}, {}, "file"),
            ("file", {"HOMEPORT_SERVER_HTTP": "env"}, {}, "env"),
            ("file", {"HOMEPORT_SERVER_HTTP": "env"}, {"http": "arg"}, "arg"),
            (None, {"HOMEPORT_SERVER_HTTP": "env"}, {"http": "arg"}, "arg"),
            (None, {"HOMEPORT_SERVER_HTTP": "env"}, {"http": None}, "env"),
            ("file", {"HOMEPORT_SERVER_HTTP": ""}, {"http": None}, "file"),
        ],
    )
    def test_argument_then_environment_then_file_then_default(
        self, file: str | None, environ: dict[str, str], arguments: dict[str, object], expected: str
    ) -> None:
        section = None if file is None else {"http": file}
        assert loaded(section, environ, arguments).http == expected

    @given(
        file=st.none() | st.integers(1, 99),
        variable=st.none() | st.integers(1, 99),
        given_=st.none() | st.integers(1, 99),
    )
    def test_also_for_nested_settings_one_by_one(
        self, file: int | None, variable: int | None, given_: int | None
    ) -> None:
        section = {"limits": {"idle_timeout": 7, **({} if file is None else {"body_bytes": file})}}
        environ = {} if variable is None else {"HOMEPORT_SERVER_LIMITS_BODY_BYTES": str(variable)}
        limits = loaded(section, environ, {"limits.body_bytes": given_}).limits
        expected = next(value for value in (given_, variable, file, 10) if value is not None)
        assert limits == Limits(body_bytes=expected, idle_timeout=7.0)

    def test_an_argument_that_is_false_is_given(self) -> None:
        assert loaded({"dev": True}, {}, {"dev": False}).dev is False

    def test_the_file_is_checked_also_where_another_source_decides(self) -> None:
        assert error_of({"dev": "perhaps"}, {}, {"dev": True}) == (
            'homeport.yaml: server.dev is "perhaps"; give true or false'
        )

    def test_a_variable_is_not_looked_at_where_an_argument_decides(self) -> None:
        assert loaded(None, {"HOMEPORT_SERVER_LEVEL": "middle"}, {"level": "high"}).level == "high"

    def test_variables_of_others_are_not_looked_at(self) -> None:
        # Kubernetes sets these for a service called homeport-server.
        environ = {"HOMEPORT_SERVER_SERVICE_HOST": "10.0.0.1", "HOMEPORT_SERVER_PORT": "tcp://10.0.0.1:8500"}
        assert loaded(None, environ) == Shape()

    def test_an_empty_section_is_all_defaults(self) -> None:
        content = SettingsFile(content={"server": None})
        assert load(Shape, prefix="server", file=content) == Shape()


class TestOtherWords:
    """Variables of another convention, and keys elsewhere in the file that mean the same."""

    @pytest.mark.parametrize(
        ("section", "environ", "arguments", "expected"),
        [
            (None, {}, {}, 40),
            ({"limits": {"idle_timeout": 1}}, {}, {}, 40),
            ({"limits": {"body_bytes": 30}}, {}, {}, 30),
            ({"limits": {"body_bytes": 30}}, {"OTHER": "20"}, {}, 20),
            ({"limits": {"body_bytes": 30}}, {"OTHER": "20", "HOMEPORT_SERVER_LIMITS_BODY_BYTES": "10"}, {}, 10),
            (None, {"OTHER": ""}, {}, 40),
            (None, {"OTHER": "20"}, {"limits.body_bytes": 5}, 5),
        ],
    )
    def test_each_has_its_rank(
        self, section: object, environ: dict[str, str], arguments: dict[str, object], expected: int
    ) -> None:
        found = load(
            Shape, prefix="server", arguments=arguments, environ=environ,
            file=SettingsFile(content={"server": section}),
            other_variables={"limits.body_bytes": "OTHER"}, implied={"limits.body_bytes": (40, "elsewhere.size")},
        )  # fmt: skip
        assert found.limits.body_bytes == expected

    @pytest.mark.parametrize(
        ("environ", "implied", "text"),
        [
            ({"OTHER": "x"}, 40, 'OTHER is "x"; give a whole number, at least 1'),
            ({}, "x", 'homeport.yaml: elsewhere.size is "x"; give a whole number, at least 1'),
        ],
    )
    def test_what_is_wrong_is_named_by_its_own_word(self, environ: dict[str, str], implied: object, text: str) -> None:
        with pytest.raises(SettingsError) as caught:
            load(
                Shape, prefix="server", environ=environ, file=SettingsFile(),
                other_variables={"limits.body_bytes": "OTHER"},
                implied={"limits.body_bytes": (implied, "elsewhere.size")},
            )  # fmt: skip
        assert str(caught.value) == text


class TestForms:
    def test_a_file_gives_every_type(self) -> None:
        section = {
            "http": "h", "dev": True, "node": "n", "origins": ["a", "b"], "ports": [1, 2], "level": "high", "share": 1,
            "labels": {"x": 1}, "limits": {"body_bytes": 5, "idle_timeout": "1m30s"},
        }  # fmt: skip
        assert loaded(section) == Shape(
            http="h", dev=True, node="n", origins=("a", "b"), ports=[1, 2], level="high", share=1.0, labels={"x": 1},
            limits=Limits(body_bytes=5, idle_timeout=90.0),
        )  # fmt: skip

    def test_variables_give_every_scalar_and_lists_of_them(self) -> None:
        environ = {
            "HOMEPORT_SERVER_DEV": "yes", "HOMEPORT_SERVER_NODE": "n", "HOMEPORT_SERVER_ORIGINS": "a, b,",
            "HOMEPORT_SERVER_PORTS": "1,2", "HOMEPORT_SERVER_LEVEL": "high", "HOMEPORT_SERVER_SHARE": "0.25",
            "HOMEPORT_SERVER_LIMITS_BODY_BYTES": "5", "HOMEPORT_SERVER_LIMITS_IDLE_TIMEOUT": "10s",
        }  # fmt: skip
        assert loaded(None, environ) == Shape(
            dev=True, node="n", origins=("a", "b"), ports=[1, 2], level="high", share=0.25,
            limits=Limits(body_bytes=5, idle_timeout=10.0),
        )  # fmt: skip

    @pytest.mark.parametrize(("value", "expected"), [(2, 2.0), (0.5, 0.5), ("2", 2.0), ("250ms", 0.25)])
    def test_a_duration_is_seconds_or_text(self, value: object, expected: float) -> None:
        assert loaded({"limits": {"idle_timeout": value}}).limits.idle_timeout == expected

    def test_null_stands_for_nothing_where_nothing_is_allowed(self) -> None:
        assert loaded({"node": None}).node is None


class TestErrors:
    @pytest.mark.parametrize(
        ("section", "text"),
        [
            ({"htp": 1}, "server.htp is not a setting; did you mean server.http?"),
            (
                {"limits": {"bdy_bytes": 1}},
                "server.limits.bdy_bytes is not a setting; did you mean server.limits.body_bytes?",
            ),
            ({"qqq": 1}, "server.qqq is not a setting"),
            ({"http": 8500}, "server.http is 8500; give text, in quotes"),
            ({"http": False}, "server.http is false; give text, in quotes"),
            ({"http": ["a"]}, "server.http is a list; give text"),
            ({"http": None}, "server.http is empty; give text"),
            ({"dev": "yes"}, 'server.dev is "yes"; give true or false'),
            ({"dev": 1}, "server.dev is 1; give true or false"),
            ({"origins": "a"}, 'server.origins is "a"; give a list'),
            ({"origins": ["a", 1]}, "server.origins[1] is 1; give text, in quotes"),
            ({"ports": [1, "2"]}, 'server.ports[1] is "2"; give a whole number'),
            ({"ports": [True]}, "server.ports[0] is true; give a whole number"),
            ({"level": "middle"}, 'server.level is "middle"; give high or low'),
            ({"share": 2}, "server.share is 2.0; give a number, at least 0 and at most 1"),
            ({"share": "10s"}, 'server.share is "10s"; give a number, at least 0 and at most 1'),
            ({"labels": {"x": "y"}}, 'server.labels.x is "y"; give a whole number'),
            ({"labels": []}, "server.labels is a list; give names with their values below it"),
            ({"limits": {"body_bytes": 0}}, "server.limits.body_bytes is 0; give a whole number, at least 1"),
            ({"limits": {"body_bytes": 1.5}}, "server.limits.body_bytes is 1.5; give a whole number, at least 1"),
            (
                {"limits": {"idle_timeout": "soon"}},
                'server.limits.idle_timeout is "soon"; give a duration such as "10s", or seconds',
            ),
            (
                {"limits": {"idle_timeout": True}},
                'server.limits.idle_timeout is true; give a duration such as "10s", or seconds',
            ),
            ({"limits": 5}, "server.limits is 5; give its keys below it"),
            (["a"], "server is a list; give its keys below it"),
            ({"dev": True, "node": "lonely"}, "server.dev and this node exclude each other; choose one"),
        ],
    )
    def test_the_file_and_the_key_are_named(self, section: object, text: str) -> None:
        assert error_of(section) == f"homeport.yaml: {text}"

    @pytest.mark.parametrize(
        ("name", "value", "wanted"),
        [
            ("DEV", "perhaps", "true or false"),
            ("PORTS", "1,x", "a whole number"),
            ("LEVEL", "middle", "high or low"),
            ("SHARE", "much", "a number, at least 0 and at most 1"),
            ("LIMITS_BODY_BYTES", "many", "a whole number, at least 1"),
            ("LIMITS_IDLE_TIMEOUT", "soon", 'a duration such as "10s", or seconds'),
        ],
    )
    def test_a_variable_is_named(self, name: str, value: str, wanted: str) -> None:
        text = error_of(None, {f"HOMEPORT_SERVER_{name}": value})
        assert text.startswith(f"HOMEPORT_SERVER_{name}")
        assert text.endswith(f"; give {wanted}")

    def test_an_argument_is_named_as_it_is_written(self) -> None:
        assert error_of(None, {}, {"limits.body_bytes": "x"}) == (
            '--limits-body-bytes is "x"; give a whole number, at least 1'
        )

    def test_an_argument_that_is_no_setting_is_refused(self) -> None:
        assert error_of(None, {}, {"htp": "x"}) == "server.htp is not a setting; did you mean server.http?"

    def test_a_secret_is_not_repeated(self) -> None:
        assert (
            error_of({"token": 12345}) == "homeport.yaml: server.token is not what it should be; give text, in quotes"
        )

    def test_a_long_value_is_cut_and_stays_on_one_line(self) -> None:
        text = error_of({"dev": "a\nb" * 100})
        assert "\n" not in text
        assert len(text) < 150


class TestWhatIsReallyDeclared:
    """The settings of the rooms, as the loader sees them."""

    @pytest.mark.parametrize(("shape", "prefix"), [(ServerSettings, "server"), (ClientSettings, "client")])
    def test_every_setting_has_a_variable_of_its_own(self, shape: type[msgspec.Struct], prefix: str) -> None:
        names = variables(shape, prefix=prefix)
        assert len(set(names.values())) == len(names)
        assert len(names) >= len(shape.__struct_fields__) - 1

    @pytest.mark.parametrize(("shape", "prefix"), [(ServerSettings, "server"), (ClientSettings, "client")])
    def test_the_defaults_are_what_the_room_says(self, shape: type[msgspec.Struct], prefix: str) -> None:
        assert load(shape, prefix=prefix) == shape()

    def test_a_nested_setting_of_the_server_is_reached_by_its_variable(self) -> None:
        environ = {"HOMEPORT_SERVER_HEALTH_MINIMUM_INTERVAL": "2s"}
        assert load(ServerSettings, prefix="server", environ=environ).health.minimum_interval == 2.0

    def test_a_validation_of_the_room_is_told_with_the_file(self) -> None:
        file = SettingsFile(content={"client": {"idle_timeout": 0}})
        with pytest.raises(SettingsError) as caught:
            load(ClientSettings, prefix="client", file=file)
        assert str(caught.value).startswith("homeport.yaml: client.idle_timeout is 0")
