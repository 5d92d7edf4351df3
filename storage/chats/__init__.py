"""What chats add to conversations: their session, its Context data, a person's list of them."""
