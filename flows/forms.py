"""Help text in the forms of Prefect's UI."""

from dataclasses import dataclass

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


@dataclass(frozen=True)
class Help:
    """Annotates a flow's parameter with what its form says about it.

    Prefect 3.8.8 draws a form from a flow's signature and takes the descriptions from the
    docstring alone: those of ``pydantic.Field`` are lost.
    """

    text: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"description": self.text}
