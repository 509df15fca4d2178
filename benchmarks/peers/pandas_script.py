"""What many write first: requests, a list of dicts, pandas, one Parquet file.   python pandas_script.py URL FOLDER"""

import os
import sys

import pandas
import requests

url, folder = sys.argv[1:]
session = requests.Session()
session.auth = (os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
users, token = [], None
while True:
    params = {"pageSize": 1000} | ({"pageToken": token} if token else {})
    answer = session.get(f"{url}/PushNotifications/Users", params=params, timeout=60)
    answer.raise_for_status()
    page = answer.json()
    users += page["users"]
    token = page["pagination"]["next"]
    if not token:
        break
frame = pandas.DataFrame(users)
for name in ("createdAt", "updatedAt", "deletedAt"):
    frame[name] = pandas.to_datetime(frame[name], utc=True)
frame.to_parquet(f"{folder}/users.parquet", compression="zstd")
