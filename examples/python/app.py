"""A service that takes the access tokens of a Latchkey."""

import os

import uvicorn
from fastapi import Depends, FastAPI

from latchkey import Latchkey, User

latchkey = Latchkey(
    issuer=os.environ.get("ISSUER", "http://localhost:3000"),
    audience=os.environ.get("AUDIENCE", "https://orders.example.com"),
)
latchkey.follow()
current_user = latchkey.current_user

app = FastAPI()


@app.get("/orders")
def list_orders(user: User = Depends(current_user)) -> dict:
    return {"user": user.username, "orders": []}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "4000")))
